package load

// Case is what a classifier learns from, or is measured on: one vertebra, or a patient with all seven. It holds raw crops; its slices are
// shared unless whoever made it says otherwise.
type Case struct {
	// Study names it, and Level the vertebra from 0, or −1 for a patient.
	Study string
	Level int
	Fold  int
	// Crops has one vertebra's crop, or seven in order: uint8 [15, 6, Edge, Edge]. Nil is a vertebra that was not found.
	Crops [][]uint8
	// Edge is the length of a slice's sides in pixels.
	Edge int
	// Labels says of each crop whether the vertebra is fractured (1) or not (0). Unknown is what nobody said, and what was not found.
	Labels []int8
	// Patient is the same of the patient.
	Patient int8
}

// Unknown is the label that nobody gave.
const Unknown int8 = -1
