"""The main job: candidates, a certificate, a frontier, advice, a report."""
