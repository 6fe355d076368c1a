"""Starting, finding and deploying to the embedded cloud, from outside its process."""
