() => {
// How many texts are seen, and those whose colour has a contrast below 4.5 to the ground that they stand on.
  const part = (x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const read = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const found = read(getComputedStyle(e).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const low = [];
  let seen = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim();
    if (!text || !e.checkVisibility() || e.closest(".unseen, script, noscript, select")) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(read(e.closest("svg") ? style.fill : style.color)), light(ground(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (contrast < 4.5) low.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return { seen, low };
}
