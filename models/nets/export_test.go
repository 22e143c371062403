package nets

// EncoderAlone builds an encoder with the weights that it has in a classifier of seed 1: images [1, 6, size, size] to features [1, F].
func EncoderAlone(e Encoder, size int) ([]byte, error) {
	e, err := e.at(size)
	if err != nil {
		return nil, err
	}
	return alone(e.vector, 1, planes, size)
}
