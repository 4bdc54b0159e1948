mod fixture;
mod interrupts;
mod simulation;
mod swaps;
mod trials;
mod world;
