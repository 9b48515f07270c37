"""The HTML part: parsed as browsers do, its CSS moved into elements, two of them compared."""
