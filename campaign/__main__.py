"""``python -m campaign`` and the console script."""

from campaign.cli.main import main

if __name__ == "__main__":
    main()
