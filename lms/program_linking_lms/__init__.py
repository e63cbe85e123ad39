"""A plug-in of the LMS: what an enrollment causes there, for those that program-linking has written."""
