"""The white box: from weights to next-token scores, and from those to text, alone or several models together."""
