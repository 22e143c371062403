package phantom

// Densities in HU.
const (
	airHU      = -1000
	fatHU      = -105
	muscleHU   = 58
	skinHU     = 5
	bloodHU    = 45
	brainHU    = 34
	fluidHU    = 8
	cordHU     = 40
	discHU     = 88
	lungHU     = -840
	glandHU    = 38
	parotidHU  = -15
	thyroidHU  = 105
	mucosaHU   = 42
	cartilage  = 135
	toothHU    = 2300
	ligamentHU = 70
)

// muscles of the left side, by level. Where two meet, fat keeps them apart (softtissue.go).
var muscles = []tube{
	// sternocleidomastoid: from the mastoid forward and down to the sternum
	newTube(
		station{0.1, 54, 12, 5, 12, -10}, station{2, 53, 4, 6, 16, -8}, station{4, 45, -11, 6.5, 17, -24},
		station{6, 34, -27, 6, 16, -42}, station{8, 21, -39, 4.5, 12, -62}, station{9.2, 14, -46, 4, 8, -70},
	),
	// trapezius: a strip at the nape that spreads over the shoulder
	newTube(
		station{0.6, 9, 70, 9, 3.5, -10}, station{3, 14, 63, 13, 3.5, -24}, station{5, 24, 58, 23, 4.2, -30},
		station{6.5, 38, 52, 34, 5.5, -24}, station{8, 50, 50, 46, 7.5, -14}, station{10, 50, 56, 48, 7, -8},
		station{13, 45, 62, 44, 6, -6},
	),
	// splenius
	newTube(
		station{-0.3, 46, 34, 5, 12, 38}, station{1, 39, 42, 4.5, 16, 50}, station{3, 30, 47, 4.5, 18, 60},
		station{5, 20, 48, 4, 15, 70}, station{7, 14, 48, 3.5, 11, 80}, station{8.6, 9, 50, 3, 7, 80},
	),
	// semispinalis capitis
	newTube(
		station{-0.6, 17, 58, 14, 7, -20}, station{1, 15, 53, 12, 7.5, -14},
		station{3, 14.5, 47, 11.5, 7, -16}, station{5, 17, 40, 10, 6, -20}, station{7, 22, 35, 8, 5, -20},
		station{10, 22, 32, 6, 5, 0},
	),
	// semispinalis cervicis and multifidus, in the groove beside the spinous processes
	newTube(
		station{1.9, 11, 34, 8, 6, 0}, station{3, 11.5, 33, 8.5, 8, 0}, station{5, 12, 31, 9, 8, 0},
		station{7, 12, 33, 9, 9, 0}, station{9, 11, 35, 9, 9, 0}, station{13, 11, 36, 9, 9, 0},
	),
	// rectus and obliquus capitis, below the occiput
	newTube(station{-0.4, 13, 44, 10, 6, -10}, station{0.6, 11, 40, 9, 7, -10}, station{1.7, 10, 37, 7, 6, 0}),
	newTube(station{0.2, 33, 24, 9, 6, 30}, station{1.2, 27, 27, 12, 6.5, 22}, station{2, 16, 33, 8, 5, 20}),
	// longissimus and iliocostalis
	newTube(
		station{1.5, 38, 24, 5, 6, 20}, station{4, 30, 27, 6, 7, 20}, station{7, 29, 27, 8, 7, 10},
		station{9, 30, 33, 9, 7, 0}, station{13, 31, 37, 13, 9, 0},
	),
	// levator scapulae
	newTube(
		station{1, 36, 12, 4.5, 7, 0}, station{3, 38, 14, 5.5, 9, -10}, station{5, 40, 17, 6, 11, -20},
		station{7, 47, 27, 6, 11, -38}, station{9, 66, 38, 6, 9, -55},
	),
	// scalenes
	newTube(
		station{2.6, 27, -3, 3, 3, 0}, station{4, 26.5, -7, 5, 5, 0}, station{6, 27, -9, 6, 6, 0},
		station{8, 33, -12, 6, 7, -20}, station{8.9, 40, -14, 6, 6, -20},
	),
	newTube(
		station{1.6, 31, 4, 3.5, 4, 0}, station{4, 33, 4, 6, 6.5, 0}, station{6, 36, 5, 8.5, 8.5, 0},
		station{8, 47, 5, 9, 9, -10}, station{9, 55, 8, 9, 8, -10},
	),
	// longus colli and capitis
	newTube(
		station{-0.4, 8, -16, 6, 3.2, 10}, station{1, 8, -14.6, 6, 2.6, 10}, station{3, 9, -9.8, 6.5, 3, 16},
		station{5, 10.5, -10.5, 7, 4, 20}, station{7, 9.5, -11.5, 6.5, 3.6, 18},
		station{10, 6, -12.5, 4, 2.2, 10},
	),
	// straps below the hyoid
	newTube(
		station{3.8, 9, -47, 8, 2.8, 15}, station{5.5, 11, -47, 9, 2.8, 28}, station{7.5, 11, -46, 9, 2.6, 25},
		station{9.6, 10, -52, 8, 2.4, 10},
	),
	// floor of the mouth, digastric
	newTube(station{1.8, 8, -70, 6, 14, 0}, station{2.6, 8, -68, 7, 17, 0}, station{3.5, 9, -58, 7, 9, 0}),
	newTube(
		station{0.3, 45, 6, 4, 6, 0}, station{1.5, 42, -8, 4, 6, 0}, station{3, 32, -32, 4, 7, -40},
		station{3.6, 22, -45, 4, 7, -50},
	),
	// masseter, medial and lateral pterygoid, temporalis
	newTube(station{-0.8, 58, -46, 5, 12, 8}, station{0.8, 58, -42, 7, 15, 6}, station{2.3, 53, -42, 5, 12, 6}),
	newTube(station{-1, 33, -42, 6, 9, 20}, station{0.6, 38, -40, 7, 11, 14}, station{2.2, 42, -36, 5, 10, 8}),
	newTube(station{-2.6, 38, -46, 12, 6, -20}, station{-1.2, 36, -42, 12, 7, -24}, station{-0.2, 38, -40, 6, 5, -20}),
	newTube(station{-5, 66, -40, 4, 22, 4}, station{-2, 58, -52, 7, 14, 6}, station{-0.5, 54, -58, 5, 8, 0}),
	// pharynx' constrictors
	newTube(station{0.4, 15, -24, 2.5, 7, 0}, station{2.5, 15, -23, 2.5, 8, 0}, station{4.4, 16, -25, 2.2, 9, 10}),
	// shoulder girdle: supraspinatus, subscapularis and serratus, rhomboids, pectorals, subclavius, deltoid
	newTube(
		station{7.2, 92, 34, 22, 7, -10}, station{8.6, 98, 36, 30, 13, -8}, station{10, 98, 44, 26, 8, 0},
		station{13, 98, 50, 24, 9, 0},
	),
	newTube(station{8.8, 84, 22, 18, 5, 10}, station{11, 88, 28, 26, 9, 20}, station{14, 88, 28, 26, 12, 20}),
	newTube(station{8.4, 35, 44, 22, 4, -4}, station{10, 42, 47, 30, 5, -3}, station{14, 44, 50, 30, 5, 0}),
	newTube(station{9, 62, -38, 30, 6, 14}, station{10.5, 62, -50, 42, 8, 18}, station{14, 60, -58, 48, 10, 20}),
	newTube(station{8, 150, 8, 22, 28, 0}, station{10, 160, 5, 22, 34, 0}, station{14, 165, 5, 22, 34, 0}),
}

// vessels of the left side.
var (
	carotid = newTube(
		station{-0.6, 24, -14, 2.6, 2.6, 0}, station{2, 25, -14, 2.8, 2.8, 0},
		station{3.6, 26, -17, 4.2, 4, 0}, station{5, 25, -20, 3.5, 3.5, 0}, station{7, 20, -25, 3.4, 3.4, 0},
		station{9, 17, -31, 3.6, 3.6, 0}, station{11, 13, -38, 4, 5, 0}, station{14, 10, -44, 5, 6, 0},
	)
	externalCarotid = newTube(
		station{0, 44, -26, 1.8, 1.8, 0}, station{2, 34, -26, 2.2, 2.2, 0}, station{3.5, 28, -23, 2.4, 2.4, 0},
	)
	jugular = newTube(
		station{-0.5, 32, -6, 4, 4, 0}, station{2, 33, -7, 4.5, 5.5, 0}, station{4, 34, -12, 6.5, 5, 20},
		station{6, 31, -20, 6.5, 5, 30}, station{8, 26, -29, 6.5, 5, 20}, station{9.4, 25, -38, 7, 6, 0},
		station{11, 16, -46, 9, 6, 0}, station{14, 14, -50, 8, 8, 0},
	)
	subclavian = newTube(
		station{8.5, 44, -22, 10, 4, 20}, station{9.2, 34, -26, 12, 4.2, 30}, station{9.9, 24, -30, 8, 4, 40},
	)
	axillary = newTube(
		station{9, 72, -28, 16, 4.5, 14}, station{9.8, 62, -32, 18, 5, 18}, station{10.6, 84, -30, 14, 5, 14},
	)
	vertebral = newTube(
		station{-0.2, 9, 6, 1.7, 1.7, 0}, station{0.5, 17, 15, 2.6, 1.7, 30},
		station{0.9, 26.5, 4, 1.8, 1.8, 0}, station{2, 18, 1.5, 1.8, 1.8, 0},
		station{3, 15.4, 0.6, 1.7, 1.7, 0}, station{6, 17.2, 0.4, 1.7, 1.7, 0},
		station{7, 17, -9, 1.8, 1.8, 0}, station{9, 22, -20, 2, 2, 0},
	)
	superficial = newTube(
		station{2.5, 56, -2, 1.8, 2.6, 0}, station{5, 50, -16, 1.8, 3, -30}, station{8, 44, -32, 2, 3.2, -50},
	)
)

// glands and nodes of the left side.
var (
	parotid = newTube(
		station{-0.6, 60, -16, 7, 12, 0}, station{0.8, 56, -17, 10, 16, 8}, station{2.4, 50, -14, 6, 10, 0},
	)
	submandibular = newTube(
		station{2.3, 36, -40, 7, 11, -20}, station{3.1, 34, -44, 9, 14, -28}, station{3.9, 28, -44, 6, 9, -35},
	)
	thyroidLobe = newTube(
		station{5.6, 17, -32, 5, 8, 10}, station{6.8, 16.5, -33, 8, 11, 10}, station{8, 14.5, -34, 6.5, 8, 10},
		station{8.4, 13, -34, 4, 5, 0},
	)
)

// What lies in the middle.
var (
	isthmus     = newTube(station{6.7, 0, -44.5, 12, 2.4, 0}, station{7.5, 0, -44.5, 12, 2.2, 0})
	nasopharynx = newTube(
		station{-0.75, 0, -31, 9, 8, 0}, station{-0.3, 0, -29, 13, 8.5, 0}, station{0.5, 0, -25, 11, 6, 0},
		station{1.1, 0, -21.5, 9, 4, 0},
	)
	pharynx = newTube(
		station{0.7, 0, -21, 8, 3.4, 0}, station{2, 0, -18, 11, 4.8, 0}, station{3.2, 0, -21, 12, 7.4, 0},
		station{4.3, 0, -25.5, 9, 7.5, 0}, station{5.2, 0, -33, 3.2, 9, 0},
	)
	trachea = newTube(
		station{4.9, 0, -34, 2.2, 9, 0}, station{5.7, 0, -34, 6.5, 9, 0}, station{6.4, 0, -33, 8.2, 8.8, 0},
		station{8, 0, -32.5, 8.6, 8.4, 0}, station{10, 1, -31, 8.8, 8, 0}, station{14, 2, -30, 9, 8, 0},
	)
	piriform = newTube(
		station{4, 12, -27, 3.5, 4.5, 20}, station{4.8, 13, -27, 3, 5, 20}, station{5.4, 12, -26, 1, 2, 20},
	)
	vallecula = newTube(station{3.1, 7, -38, 5, 3, 0}, station{3.6, 7, -38, 4, 2.4, 0})
	esophagus = newTube(
		station{4.9, 0, -16.5, 10, 2.6, 0}, station{6, 0, -18.5, 8, 3.2, 0}, station{7, 3, -18.5, 7, 4.4, 0},
		station{10, 4.5, -19, 7.5, 4.8, 0}, station{14, 4, -19, 8, 5, 0},
	)
	tongue = newTube(
		station{-0.4, 0, -64, 18, 14, 0}, station{0.8, 0, -60, 23, 27, 0}, station{2.2, 0, -55, 20, 27, 0},
		station{3.1, 0, -50, 15, 17, 0},
	)
	palate = newTube(
		station{0.05, 0, -42, 14, 4, 0}, station{0.5, 0, -36, 12, 5, 0}, station{1.1, 0, -30, 8, 3.6, 0},
		station{1.7, 0, -27, 3, 2.4, 0},
	)
	epiglottis = newTube(
		station{2.9, 0, -29, 7, 1.1, 0}, station{3.4, 0, -30.5, 8, 1.3, 0}, station{4.2, 0, -33, 5, 1.6, 0},
	)
	larynx = newTube(
		station{3.9, 0, -38, 12, 8, 0}, station{4.6, 0, -36, 14, 11, 0}, station{5.4, 0, -35, 11, 12, 0},
		station{6.1, 0, -33, 11, 11, 0},
	)
	sac = newTube(
		station{-1, 0, 14, 14, 12, 0}, station{0.2, 0, 15.5, 13, 11, 0}, station{1, 0, 14.8, 12, 9, 0},
		station{2, 0, 15.8, 11.4, 8, 0}, station{3, 0, 14.8, 11, 6.8, 0}, station{6, 0, 15.2, 11.4, 6.6, 0},
		station{7.5, 0, 15.8, 10.6, 6.6, 0}, station{9, 0, 16.6, 8, 6.6, 0}, station{20, 0, 18, 7.6, 6.6, 0},
	)
	cord = newTube(
		station{-1.2, 0, 9, 11, 9, 0}, station{-0.3, 0, 12, 8.5, 7, 0}, station{1, 0, 14.4, 5.8, 4.4, 0},
		station{4, 0, 14.6, 6.3, 4, 0}, station{5.5, 0, 15, 6.9, 4.1, 0}, station{7.5, 0, 15.6, 5.8, 3.9, 0},
		station{20, 0, 17.5, 4.4, 3.8, 0},
	)
	discs = newTube(
		station{2.2, 0, 0, 8, 7.2, 0}, station{3, 0, 0, 8.4, 7.2, 0}, station{6, 0, 0.1, 10, 7.8, 0},
		station{8, 0, 0.2, 12.2, 8.2, 0}, station{20, 0, 0.4, 12.5, 10.5, 0},
	)
	ligament = newTube(
		station{0.2, 0, 58, 1.4, 14, 0}, station{3, 0, 50, 1.2, 15, 0}, station{6, 0, 50, 1.2, 13, 0},
		station{7.5, 0, 58, 1.2, 8, 0},
	)
)
