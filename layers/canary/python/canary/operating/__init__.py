"""What operators and release tagging do, without the command line around it."""
