"""How text is generated; only this room knows about models and servers."""
