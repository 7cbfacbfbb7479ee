"""Supervised fine-tuning with DeepSpeed ZeRO: data, training, export."""
