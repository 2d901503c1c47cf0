"""Who is served what: a phone's own files only at the phone's own address, and a brake on searching for them."""
