"""How text is generated; nothing else knows about models and servers."""
