"""What the industries of the eleven sectors do, in words that companies use of themselves.

The sectors and industries are those that market data are commonly sorted by (Morningstar's and Yahoo's scheme, and
close to GICS). The descriptions were written from what the industries mean; they were looked at against rows 0 to
999 of firmographics_1500 only (the tuning part).
"""

from __future__ import annotations

TRADES: dict[str, dict[str, str]] = {
    "Basic Materials": {
        "Agricultural Inputs": (
            "produces fertilizers, crop nutrients, pesticides, herbicides, potash, urea, seeds for crops"
        ),
        "Aluminum": "produces aluminum ingots, sheets, foils, extrusions and profiles, bauxite, alumina smelting",
        "Building Materials": (
            "manufactures cement, concrete, aggregates, clinker, bricks, gypsum, glass and stone, limestone"
        ),
        "Chemicals": (
            "produces basic and industrial chemicals, caustic soda, chlorine, methanol, polymers, petrochemicals"
        ),
        "Coking Coal": "mines and sells metallurgical coal and coke for steel makers",
        "Copper": "explores for and mines copper, copper concentrate and cathodes, copper projects",
        "Gold": "explores for and mines gold, gold project, gold mine, mineral claims, ounces of gold",
        "Lumber & Wood Production": (
            "produces lumber, timber, plywood, fiberboard, particle board, forest plantations, sawmills"
        ),
        "Other Industrial Metals & Mining": (
            "acquires, explores and develops mineral properties, nickel, zinc, lithium, iron ore, uranium, rare "
            "earth, graphite, tin, cobalt, tenements, exploration licences, drilling"
        ),
        "Other Precious Metals & Mining": (
            "explores for platinum, palladium, precious metals, diamonds, gold and silver deposits"
        ),
        "Paper & Paper Products": (
            "manufactures paper, pulp, newsprint, tissue paper, printing and writing paper, paperboard"
        ),
        "Silver": "explores for and mines silver, silver and lead concentrates, silver mine",
        "Specialty Chemicals": (
            "produces specialty chemicals, paints, coatings, adhesives, pigments, dyes, resins, additives, industrial "
            "gases, catalysts, carbon black, plastic compounds, intermediates"
        ),
        "Steel": (
            "manufactures steel, hot rolled coils, bars, billets, wire rods, pipes, stainless steel, ferroalloys, pig "
            "iron"
        ),
    },
    "Communication Services": {
        "Advertising Agencies": (
            "advertising agency, digital marketing, public relations, media buying, outdoor advertising, billboards, "
            "event marketing, brand promotion services"
        ),
        "Broadcasting": "operates television and radio stations, broadcasting networks, channels and programmes",
        "Electronic Gaming & Multimedia": "develops and publishes video games, online and mobile games, esports",
        "Entertainment": (
            "produces and distributes films, music, concerts, cinemas, theatres, animation, sports clubs, cable TV"
        ),
        "Internet Content & Information": (
            "operates internet portals, search, social networks, websites, online communities, online classifieds and "
            "listings, digital content"
        ),
        "Publishing": "publishes newspapers, magazines, books, textbooks, directories, comics",
        "Telecom Services": (
            "telecommunications services, mobile, fixed line, broadband, fiber, satellite, voice and data to "
            "subscribers, internet service provider"
        ),
    },
    "Consumer Cyclical": {
        "Apparel Manufacturing": (
            "designs, makes and sells apparel, garments, clothing, underwear, sportswear, fashion brands"
        ),
        "Apparel Retail": "operates clothing stores, retails apparel, fashion and shoes in shops and online",
        "Auto & Truck Dealerships": (
            "sells new and used cars, dealership, automobile sales, repair and maintenance of vehicles"
        ),
        "Auto Manufacturers": "manufactures passenger cars, automobiles, motorcycles, electric vehicles, buses",
        "Auto Parts": (
            "manufactures automotive components and parts, engines, brakes, seats, tires, wheels, steering, "
            "suspension, transmission, wiring harnesses, for automobile makers and the aftermarket"
        ),
        "Department Stores": "operates department stores, shopping centres, retail of general merchandise",
        "Footwear & Accessories": "makes and sells shoes, footwear, boots, sneakers, handbags, leather accessories",
        "Furnishings, Fixtures & Appliances": (
            "makes furniture, mattresses, kitchens, carpets, sanitary ware, home appliances, air conditioners, "
            "refrigerators, cookware, lighting, bathroom fixtures"
        ),
        "Gambling": "gaming machines, betting, lottery, wagering, bookmaker, online casino games, pachinko",
        "Home Improvement Retail": "home improvement stores, do-it-yourself retail, hardware and garden centres",
        "Internet Retail": (
            "e-commerce platform, online marketplace, online shopping, mail order, sells goods on the internet"
        ),
        "Leisure": (
            "sporting goods, toys, fitness clubs, golf, bicycles, amusement parks, musical instruments, outdoor, "
            "camping"
        ),
        "Lodging": "operates hotels and inns, accommodation, franchised hotels, guest rooms",
        "Luxury Goods": "luxury goods, jewelry, diamonds, gold ornaments, watches, perfumes",
        "Packaging & Containers": (
            "makes packaging, containers, bottles, cans, cartons, corrugated boxes, plastic films, labels"
        ),
        "Personal Services": (
            "weddings, funerals, beauty salons, childcare, laundry, tutoring, photography, pet care for persons"
        ),
        "Recreational Vehicles": (
            "makes recreational vehicles, motorhomes, boats, yachts, snowmobiles, all-terrain vehicles"
        ),
        "Residential Construction": "builds and sells homes, homebuilder, detached houses, custom houses",
        "Resorts & Casinos": "operates casinos, resorts, integrated resorts, theme parks, ski resorts",
        "Restaurants": "operates restaurants, fast food, cafes, coffee shops, bars, catering, franchised restaurants",
        "Specialty Retail": (
            "specialty stores for books, electronics, eyewear, furniture, toys, pets, drug goods, duty free shops"
        ),
        "Textile Manufacturing": (
            "manufactures textiles, yarn, fabrics, cotton, denim, spinning, weaving, dyeing, fibers, wool"
        ),
        "Travel Services": "travel agency, tour operator, online bookings of flights and hotels, cruises, tourism",
    },
    "Consumer Defensive": {
        "Beverages - Brewers": "brews and sells beer, brewery",
        "Beverages - Non-Alcoholic": (
            "soft drinks, bottled water, juices, tea drinks, carbonated and energy drinks, bottler"
        ),
        "Beverages - Wineries & Distilleries": (
            "wine, spirits, liquor, vodka, whisky, vineyards, winery, distillery, baijiu"
        ),
        "Confectioners": "chocolate, candy, confectionery, sugar, biscuits and sweets",
        "Discount Stores": "discount stores, hypermarkets, warehouse clubs, low price general merchandise stores",
        "Education & Training Services": (
            "schools, universities, colleges, kindergartens, training courses, tutoring, education"
        ),
        "Farm Products": (
            "farms, cultivates crops, palm oil plantations, livestock, poultry, eggs, pigs, cattle, aquaculture, "
            "salmon, seafood, vegetables, fruit, animal feed, rubber plantations"
        ),
        "Food Distribution": "distributes food to restaurants and shops, wholesale of groceries, frozen foods and meat",
        "Grocery Stores": "supermarkets, grocery stores, convenience stores, food retail",
        "Household & Personal Products": (
            "cosmetics, skin care, hair care, soaps, detergents, diapers, toothpaste, household cleaning, personal "
            "care products, razors, beauty brands"
        ),
        "Packaged Foods": (
            "processes and sells foods, dairy, milk, noodles, rice, meat products, frozen food, snacks, sauces, "
            "edible oils, bakery, canned food, nutrition, infant formula, seasonings"
        ),
        "Tobacco": "cigarettes, tobacco, cigars, vaping products",
    },
    "Energy": {
        "Oil & Gas Drilling": "offshore and onshore drilling contractor, drilling rigs, drillships for oil companies",
        "Oil & Gas E&P": (
            "explores for, develops and produces crude oil and natural gas, wells, acreage, reserves, working "
            "interest, petroleum exploration licence"
        ),
        "Oil & Gas Equipment & Services": (
            "oilfield services and equipment, seismic surveys, well completion, hydraulic fracturing, offshore "
            "support for the oil and gas industry"
        ),
        "Oil & Gas Integrated": (
            "integrated oil company, exploration, production, refining, marketing of petroleum and chemicals"
        ),
        "Oil & Gas Midstream": (
            "pipelines, storage and transport of crude oil, natural gas, LNG, LPG, tankers, terminals"
        ),
        "Oil & Gas Refining & Marketing": (
            "refines crude oil, gasoline, diesel, lubricants, fuel stations, petroleum products"
        ),
        "Thermal Coal": "mines and sells thermal coal to power plants, coal mining concessions",
        "Uranium": "explores for and mines uranium",
    },
    "Financial Services": {
        "Asset Management": (
            "asset management, mutual funds, private equity, venture capital, investment trust, wealth advice, "
            "buyouts, growth capital, hedge funds, portfolio companies"
        ),
        "Banks - Diversified": "global bank, retail, commercial and investment banking in many countries",
        "Banks - Regional": "bank, deposits, savings accounts, loans, mortgages, branches, automated teller machines",
        "Capital Markets": (
            "securities brokerage, investment banking, underwriting, margin trading, futures, stock broker"
        ),
        "Credit Services": (
            "consumer loans, leasing, credit cards, microfinance, hire purchase, pawn, payments, vehicle finance"
        ),
        "Financial Conglomerates": "diversified financial holding, banking, insurance and leasing",
        "Financial Data & Stock Exchanges": "stock exchange, financial data, ratings, indices, clearing",
        "Insurance - Diversified": "life and non-life insurance, health insurance and pensions",
        "Insurance - Life": "life insurance, annuities, pension products",
        "Insurance - Property & Casualty": "property and casualty insurance, motor, fire, marine, accident insurance",
        "Insurance - Reinsurance": "reinsurance",
        "Insurance - Specialty": "mortgage insurance, title insurance, surety, financial guaranty",
        "Insurance Brokers": "insurance broker, risk advisory, insurance agency",
        "Mortgage Finance": "originates and services residential mortgage loans",
        "Shell Companies": (
            "no significant operations, effect a merger, share exchange, business combination, blank check"
        ),
    },
    "Healthcare": {
        "Biotechnology": (
            "biotechnology, clinical stage, discovers and develops therapies, antibodies, phase 2 trials, gene and "
            "cell therapy, oncology, vaccines, product candidates for the treatment of disease"
        ),
        "Diagnostics & Research": (
            "diagnostic tests, laboratory services, contract research organization, genetic testing, reagents"
        ),
        "Drug Manufacturers - General": "global pharmaceutical company, prescription medicines, vaccines",
        "Drug Manufacturers - Specialty & Generic": (
            "pharmaceuticals, generic drugs, active pharmaceutical ingredients, tablets, capsules, injections, "
            "traditional Chinese medicines, formulations, cannabis"
        ),
        "Health Information Services": (
            "healthcare software, electronic health records, telemedicine, medical data platform"
        ),
        "Healthcare Plans": "health insurance plans, managed care, Medicare and Medicaid",
        "Medical Care Facilities": (
            "hospitals, clinics, nursing homes, elderly care, dialysis, dental clinics, patient services"
        ),
        "Medical Devices": (
            "medical devices, implants, stents, orthopedic, imaging systems, hearing aids, surgical systems"
        ),
        "Medical Distribution": (
            "distributes pharmaceuticals and medical supplies to pharmacies and hospitals, wholesale of drugs"
        ),
        "Medical Instruments & Supplies": (
            "medical instruments, syringes, gloves, catheters, contact lenses, dental supplies, disposables, surgical "
            "instruments, sterilization"
        ),
        "Pharmaceutical Retailers": "drugstores, pharmacies, retail of medicines, dispensing pharmacies",
    },
    "Industrials": {
        "Aerospace & Defense": (
            "aircraft, aerospace components, defense, missiles, military, space, radar, ammunition, shipyards"
        ),
        "Airlines": "airline, passenger and cargo flights, fleet of aircraft",
        "Airports & Air Services": "operates airports, ground handling, aviation services",
        "Building Products & Equipment": (
            "building products, windows, doors, roofing, tiles, pipes, insulation, flooring, ceramics, facades, steel "
            "structures, heating and ventilation for buildings"
        ),
        "Business Equipment & Supplies": (
            "office supplies, stationery, printers, office furniture, copiers, pens, shelving"
        ),
        "Conglomerates": (
            "conglomerate, diversified holding with segments in many industries, trading, investment, property"
        ),
        "Consulting Services": (
            "management consulting, credit reports, research, advisory, market data services to companies"
        ),
        "Electrical Equipment & Parts": (
            "electrical equipment, cables, wires, transformers, switchgear, motors, batteries, power supplies, "
            "generators, capacitors, lithium batteries, insulators"
        ),
        "Engineering & Construction": (
            "construction contractor, civil engineering, infrastructure, roads, bridges, tunnels, buildings, design, "
            "installation, piling, plant engineering, landscaping"
        ),
        "Farm & Heavy Construction Machinery": (
            "tractors, agricultural machinery, excavators, cranes, trucks, mining equipment"
        ),
        "Industrial Distribution": (
            "trades and distributes industrial products, machinery, tools, bearings, steel, components"
        ),
        "Infrastructure Operations": "toll roads, motorways, ports, car parks, concession operator",
        "Integrated Freight & Logistics": (
            "freight forwarding, logistics, warehousing, parcels, supply chain, courier, customs"
        ),
        "Marine Shipping": (
            "shipping, vessels, bulk carriers, container ships, tankers, port terminals, tugboats, charter"
        ),
        "Metal Fabrication": (
            "metal castings, forgings, fasteners, screws, sheet metal, welded and machined parts, molds"
        ),
        "Pollution & Treatment Controls": (
            "water treatment equipment, air pollution control, filters, dust collection, environmental engineering, "
            "flue gas"
        ),
        "Railroads": "railway operator, trains, rail freight, locomotives, rolling stock, wagons",
        "Rental & Leasing Services": (
            "rents equipment, car rental, leasing of aircraft, containers, scaffolding, machinery"
        ),
        "Security & Protection Services": (
            "security services, alarms, surveillance, locks, safes, fire protection, guards, safety"
        ),
        "Specialty Business Services": (
            "business services, printing, outsourcing, cleaning, facility management, testing and inspection, "
            "exhibitions, catering for businesses, payroll, translation"
        ),
        "Specialty Industrial Machinery": (
            "machinery, machine tools, pumps, valves, compressors, robots, packaging machines, turbines, hydraulic, "
            "automation equipment, boilers, elevators, molding machines, gears"
        ),
        "Staffing & Employment Services": (
            "staffing, temporary workers, recruitment, employment agency, human resources"
        ),
        "Tools & Accessories": "hand tools, power tools, cutting tools, saws, drills, abrasives, fasteners",
        "Trucking": "trucking, truckload freight, road haulage, trailers",
        "Waste Management": "waste collection, recycling, landfill, hazardous waste, scrap, incineration",
    },
    "Real Estate": {
        "REIT - Diversified": "real estate investment trust with office, retail, residential and industrial properties",
        "REIT - Healthcare Facilities": (
            "real estate investment trust that owns medical offices, senior housing, hospitals"
        ),
        "REIT - Hotel & Motel": "real estate investment trust that owns hotels",
        "REIT - Industrial": "real estate investment trust that owns warehouses, logistics and industrial properties",
        "REIT - Mortgage": (
            "real estate investment trust that invests in mortgage-backed securities and real estate loans"
        ),
        "REIT - Office": "real estate investment trust that owns office buildings",
        "REIT - Residential": "real estate investment trust that owns apartments and homes",
        "REIT - Retail": "real estate investment trust that owns shopping centres, malls, retail properties",
        "REIT - Specialty": (
            "real estate investment trust that owns towers, data centers, farmland, timberland, billboards"
        ),
        "Real Estate - Development": (
            "develops and sells residential and commercial properties, condominiums, townships, villas"
        ),
        "Real Estate - Diversified": "develops, owns, leases and manages properties, hotels and land",
        "Real Estate Services": (
            "property leasing, property management, real estate brokerage, rents investment properties"
        ),
    },
    "Technology": {
        "Communication Equipment": (
            "communication equipment, routers, antennas, optical transceivers, base stations, wireless modules, "
            "network equipment, telephones, set-top boxes"
        ),
        "Computer Hardware": (
            "computers, servers, storage, peripherals, memory modules, motherboards, printers, notebooks"
        ),
        "Consumer Electronics": "consumer electronics, televisions, audio, headphones, cameras, smartphones, wearables",
        "Electronic Components": (
            "electronic components, printed circuit boards, connectors, capacitors, resistors, displays, LCD panels, "
            "touch panels, crystals, LEDs, coils, contract electronics manufacturing"
        ),
        "Electronics & Computer Distribution": (
            "distributes electronic components, semiconductors and computer products"
        ),
        "Information Technology Services": (
            "IT services, system integration, consulting, outsourcing, data centers, digital transformation, IT "
            "infrastructure"
        ),
        "Scientific & Technical Instruments": (
            "measuring instruments, sensors, meters, test equipment, lasers, optics, scales"
        ),
        "Semiconductor Equipment & Materials": (
            "equipment and materials for semiconductor making, wafers, photomasks, deposition, etching, inspection, "
            "clean rooms"
        ),
        "Semiconductors": (
            "designs and makes semiconductors, integrated circuits, chips, diodes, memory, foundry, packaging, test"
        ),
        "Software - Application": (
            "application software, SaaS, ERP, enterprise solutions, mobile apps, cloud platform for customers"
        ),
        "Software - Infrastructure": (
            "infrastructure software, cybersecurity, databases, payment platform, cloud hosting, identity, networks, "
            "operating systems"
        ),
        "Solar": "solar cells, photovoltaic modules, inverters, solar wafers, installs solar systems",
    },
    "Utilities": {
        "Utilities - Diversified": "electricity, gas, water and heat supply to customers of a city",
        "Utilities - Independent Power Producers": (
            "independent power producer, owns power plants, sells electricity to the grid"
        ),
        "Utilities - Regulated Electric": (
            "generates, transmits and distributes electricity to customers in a service area"
        ),
        "Utilities - Regulated Gas": (
            "distributes piped natural gas to residential, commercial and industrial customers"
        ),
        "Utilities - Regulated Water": "water supply, wastewater, sewerage services to customers",
        "Utilities - Renewable": "renewable energy, wind farms, solar parks, hydroelectric plants, biomass, megawatts",
    },
}
