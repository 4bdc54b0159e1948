mod fixture;
mod interrupts;
mod offers;
mod server;
mod simulation;
mod swaps;
mod trials;
mod world;
