"""The fusion as a graphical tool: one tool of traits, and a front end for each toolkit."""
