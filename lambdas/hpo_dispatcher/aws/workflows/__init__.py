"""The services whose workflows wait, and the answers that are owed to them."""
