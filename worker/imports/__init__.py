"""Files of learners on their way in."""
