mod fixture;
mod interrupts;
mod server;
mod simulation;
mod swaps;
mod trials;
mod world;
