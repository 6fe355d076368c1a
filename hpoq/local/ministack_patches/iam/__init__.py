"""The patches of how ministack authorizes calls."""
