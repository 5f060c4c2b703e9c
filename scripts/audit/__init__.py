"""What the product consists of, under which licences, and what is known to be wrong with it: `make audit`."""
