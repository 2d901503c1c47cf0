"""The administrators' door into the served directory: an FTP server on pyftpdlib."""
