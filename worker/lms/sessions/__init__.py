"""Sessions of the pages beside an LMS: whoever can read the table of these cannot read the LMS's."""
