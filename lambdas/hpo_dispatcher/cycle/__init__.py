"""The dispatch cycle: order and effects, through ports."""
