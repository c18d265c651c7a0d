"""The search for noise that helps: its plan, the command that runs it, and the page of what was found."""
