"""The dashboard's addresses, login and contents; its files are in pages/."""
