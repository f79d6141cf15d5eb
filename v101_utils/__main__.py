from v101_utils.cli import main

raise SystemExit(main())
