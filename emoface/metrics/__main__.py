from .files import main

raise SystemExit(main())
