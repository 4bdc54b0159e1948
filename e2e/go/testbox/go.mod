module ttsfleet.dev/e2e/testbox

go 1.26.0
