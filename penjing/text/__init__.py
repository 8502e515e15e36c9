"""From raw text to clean text and tokens: cleaning, duplicates, personal data, tokenizers. No torch here."""
