"""The shared vocabulary: identifiers, money, quantities, time and errors."""
