"""Drawing: skeletons, heatmaps and contact sheets, as RGB pictures."""
