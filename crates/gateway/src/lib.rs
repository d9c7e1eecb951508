//! Holds the Discord session: dispatches become events on the bus; commands on the bus become Discord calls.
