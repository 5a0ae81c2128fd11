"""The map: points, shapes, H3 cells, exact predicates, the fence index. Knows nothing of devices or rules."""
