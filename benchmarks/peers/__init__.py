"""The peers: what else a user might pick to find the fences of a point, each in its best documented form."""
