"""One attempt in a folder of its own: the files, the supervisor and the sandbox that every engine shares."""
