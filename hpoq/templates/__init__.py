"""Templates that clients use: files, templates in a workspace, and drafts from scripts."""
