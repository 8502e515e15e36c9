"""One file per format. A reader turns a `Source` into records; `Problems` collects what is wrong with them."""
