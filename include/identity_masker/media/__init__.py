"""Pictures, folders, archives and videos with any number of faces: found, followed, masked, put back."""
