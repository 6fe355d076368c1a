"""Which requests start now and why the others wait: values in, values out."""
