"""The documentation as a site: the pages of docs/ as they are, in the order of Diátaxis, and a reference of all fields."""
