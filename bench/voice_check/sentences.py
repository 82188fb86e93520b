"""What every voice says, by language: plain prose without figures, names that are spelled in two
ways, or words that sound like others, so that an error is the voice's and not the spelling's."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "The kettle began to whistle before anybody had opened the curtains.",
        "She folded the letter twice and put it behind the clock.",
        "A narrow path led down from the mill to the river.",
        "Most of the shops were closed because of the heavy snow.",
        "He had never learned to swim, although he lived beside a lake.",
        "Please leave your wet umbrella in the hall and come in.",
        "The orchestra stopped, and for a moment nobody dared to clap.",
        "What would you do if the last bus had already gone?",
        "Fresh bread, soft cheese and a few olives were enough for lunch.",
        "Behind the garden wall, children were arguing about a broken kite.",
        "The doctor listened patiently and asked only one more question.",
        "Our neighbours have painted their front door bright yellow again.",
        "Nothing moves faster through a small village than a good story.",
        "Turn the handle slowly, or the whole machine will shake itself apart.",
        "They measured the distance with a long piece of string.",
        "I will call you tomorrow, as soon as the results are ready.",
        "The lighthouse keeper polished the lamp every evening without complaint.",
        "It was raining so hard that we could barely see the bridge.",
        "Some people collect stamps; my grandfather collected empty bottles.",
        "When the music ended, the dancers bowed and the lights went out.",
    ),
    "es": (
        "La panadería de la esquina abre antes de que salga el sol.",
        "Mi abuela guardaba las cartas en una caja de madera.",
        "¿Por qué no vienes mañana a comer con nosotros?",
        "El tren llegó tarde porque había mucha nieve en las montañas.",
        "Los niños jugaban en la plaza mientras sus padres hablaban.",
    ),
    "pt-br": (
        "A padaria da esquina abre antes de o sol nascer.",
        "Minha avó guardava as cartas numa caixa de madeira.",
        "Por que você não vem almoçar com a gente amanhã?",
        "O trem chegou atrasado porque chovia muito na serra.",
        "As crianças brincavam na praça enquanto os pais conversavam.",
    ),
    "it": (
        "Il fornaio all'angolo apre prima che sorga il sole.",
        "Mia nonna teneva le lettere in una scatola di legno.",
        "Perché domani non vieni a pranzo da noi?",
        "Il treno è arrivato in ritardo perché c'era molta neve.",
        "I bambini giocavano in piazza mentre i genitori parlavano.",
    ),
}
