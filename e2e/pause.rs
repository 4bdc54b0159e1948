//! What holds a pod's namespaces open: it waits for ever. Compiled on its own
//! into a static program, not part of the library.

fn main() {
    loop {
        std::thread::park();
    }
}
