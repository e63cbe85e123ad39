"""Sessions of the pages beside an LMS: a reader of their table cannot read the LMS's."""
