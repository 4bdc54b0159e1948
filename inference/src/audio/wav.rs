//! The header of a WAV file of mono 16-bit samples.

const HEADER_BYTES: u32 = 44;

/// The header for `data_bytes` of samples; for a length that is not known yet
/// the largest there is, which players take as "until the end".
pub(crate) fn header(sample_rate: u32, data_bytes: Option<u32>) -> [u8; HEADER_BYTES as usize] {
    let data = data_bytes.unwrap_or(u32::MAX);
    let mut header = [0; HEADER_BYTES as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&data.saturating_add(HEADER_BYTES - 8).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&1_u16.to_le_bytes()); // integer samples
    put(&1_u16.to_le_bytes()); // one channel
    put(&sample_rate.to_le_bytes());
    put(&(sample_rate * 2).to_le_bytes()); // bytes per second
    put(&2_u16.to_le_bytes()); // bytes per sample of all channels
    put(&16_u16.to_le_bytes()); // bits per sample
    put(b"data");
    put(&data.to_le_bytes());
    header
}
