//! Stories told to the whole system, on real processes and real wires.
