"""Make the small geography package data (src/deepcams/geography/) from Natural Earth and Terrain Tiles.

Not part of the workflow: run once, its output is in the repository. Needs shapely, and four downloads in one folder:

    pip download --no-deps geopandas==0.14.4 iso3166      # Natural Earth 1:110m population and cities; ISO codes
    pip download --no-deps pvlib==0.16.1                  # heights of Terrain Tiles at 5'
    npm pack world-atlas@2.0.2                            # Natural Earth 1:50m land and countries as TopoJSON
    python tools/make_geography.py FOLDER
    python tools/make_geography.py FOLDER elevation       # elevation.npz alone, on the land that is there
"""

import csv
import importlib.util
import io
import json
import re
import struct
import sys
import tarfile
import zipfile
from datetime import datetime
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

import h5py
import numpy as np
from scipy import ndimage

OUT = Path(__file__).resolve().parents[1] / "src" / "deepcams" / "geography"
LATITUDE = 90 - 0.25 * np.arange(721)
LONGITUDE = -180 + 0.25 * np.arange(1440)

# Large cities: inhabitants of the agglomeration in millions, rounded, around 2018 (general knowledge, good to ±20 %).
# Those that Natural Earth's list of capitals and world cities lacks carry their place.
MILLIONS = {
    "Tokyo": 37, "Shanghai": 26, "Beijing": 20, "Mumbai": 20, "New Delhi": 29, "Sao Paulo": 22, "Mexico City": 22,
    "Cairo": 20, "Dhaka": 20, "New York": 19, "Buenos Aires": 15, "Kolkata": 15, "Istanbul": 15, "Manila": 14,
    "Lagos": 13, "Rio de Janeiro": 13, "Los Angeles": 12.5, "Moscow": 12.5, "Kinshasa": 13, "Paris": 11, "Bogota": 10.5,
    "Lima": 10.4, "Jakarta": 10.5, "Bangkok": 10, "Seoul": 10, "London": 9, "Chicago": 8.9, "Tehran": 9,
    "Hong Kong": 7.4,
    "Luanda": 8, "Baghdad": 7, "Riyadh": 7, "Santiago": 6.7, "Singapore": 5.8, "Madrid": 6.5, "Toronto": 6.1,
    "Johannesburg": 5.6, "Khartoum": 5.6, "Washington, D.C.": 5.2, "Nairobi": 4.4, "Addis Ababa": 4.4, "Ankara": 5,
    "Kabul": 4, "Sydney": 4.9, "Melbourne": 4.8, "Rome": 4.2, "Berlin": 3.6, "Kiev": 2.9, "Accra": 2.5, "Dakar": 3,
    "Algiers": 2.7, "Casablanca": 3.7, "Hanoi": 4.3, "Rangoon": 5.2, "Caracas": 2.9, "San Francisco": 4.6, "Houston": 6,
    "Atlanta": 5.6, "Miami": 6.1, "Denver": 2.8, "Vancouver": 2.5, "Warsaw": 1.8, "Vienna": 1.9, "Budapest": 1.8,
    "Bucharest": 1.8, "Athens": 3.1, "Lisbon": 2.9, "Stockholm": 1.6, "Tashkent": 2.5, "Kathmandu": 1.4, "Taipei": 2.7,
    "Dubai": 2.8, "Kuwait City": 3, "Damascus": 2.3, "Amman": 2.1, "Tripoli": 1.2, "Tunis": 2.3, "Abidjan": 5,
    "Dar es Salaam": 6, "Harare": 1.5, "Lusaka": 2.5, "Kampala": 3, "Antananarivo": 3, "Quito": 1.9, "La Paz": 1.8,
    "Montevideo": 1.7, "Brasília": 4.5, "Guatemala": 2.9, "Havana": 2.1, "Santo Domingo": 3.2, "Islamabad": 1.1,
    "Ulaanbaatar": 1.5, "Colombo": 2.3, "Phnom Penh": 2, "Kuala Lumpur": 7.5, "Pyongyang": 3, "Brussels": 2,
    "Bern": 0.4,
    "Auckland": 1.6, "Prague": 1.3, "Sofia": 1.3, "Belgrade": 1.4, "Minsk": 2, "Baku": 2.3, "Tbilisi": 1.1,
    "Yerevan": 1.1,
    "København": 1.3, "Oslo": 1, "Helsinki": 1.3, "Dublin": 1.2, "Amsterdam": 2.4, "Monterrey": 4.7, "Cape Town": 4.5,
    "Osaka": 19, "Chengdu": 9, "Chongqing": 15, "Wuhan": 8.2, "Xian": 7, "Tianjin": 13, "Shenyang": 7, "Bengaluru": 11,
}  # fmt: skip
MORE = [  # name, country code, latitude, longitude, millions
    ("Osaka", "JP", 34.7, 135.5, 19), ("Nagoya", "JP", 35.2, 136.9, 9.5), ("Guangzhou", "CN", 23.1, 113.3, 12.6),
    ("Shenzhen", "CN", 22.5, 114.1, 12), ("Tianjin", "CN", 39.1, 117.2, 13), ("Chongqing", "CN", 29.6, 106.5, 15),
    ("Chengdu", "CN", 30.7, 104.1, 9), ("Wuhan", "CN", 30.6, 114.3, 8.2), ("Nanjing", "CN", 32.1, 118.8, 8.2),
    ("Xian", "CN", 34.3, 108.9, 7.4), ("Shenyang", "CN", 41.8, 123.4, 6.9), ("Harbin", "CN", 45.8, 126.6, 6.1),
    ("Jinan", "CN", 36.7, 117.0, 5), ("Zhengzhou", "CN", 34.7, 113.6, 4.9), ("Shijiazhuang", "CN", 38.0, 114.5, 4),
    ("Taiyuan", "CN", 37.9, 112.5, 3.7), ("Changsha", "CN", 28.2, 113.0, 4.3), ("Hangzhou", "CN", 30.3, 120.2, 7.2),
    ("Lanzhou", "CN", 36.1, 103.8, 2.9), ("Urumqi", "CN", 43.8, 87.6, 4), ("Kunming", "CN", 25.0, 102.7, 4.2),
    ("Bengaluru", "IN", 13.0, 77.6, 11), ("Chennai", "IN", 13.1, 80.3, 10.5), ("Hyderabad", "IN", 17.4, 78.5, 9.5),
    ("Ahmedabad", "IN", 23.0, 72.6, 7.7), ("Pune", "IN", 18.5, 73.9, 6.3), ("Kanpur", "IN", 26.4, 80.3, 3.1),
    ("Lucknow", "IN", 26.8, 80.9, 3.5), ("Patna", "IN", 25.6, 85.1, 2.4), ("Jaipur", "IN", 26.9, 75.8, 3.7),
    ("Nagpur", "IN", 21.1, 79.1, 2.8), ("Surat", "IN", 21.2, 72.8, 6.6), ("Lahore", "PK", 31.5, 74.3, 11.7),
    ("Karachi", "PK", 24.9, 67.0, 15.4), ("Faisalabad", "PK", 31.4, 73.1, 3.3), ("Chittagong", "BD", 22.3, 91.8, 4.8),
    ("Ho Chi Minh City", "VN", 10.8, 106.7, 8.1), ("Surabaya", "ID", -7.3, 112.7, 2.9),
    ("Bandung", "ID", -6.9, 107.6, 2.5),
    ("Medan", "ID", 3.6, 98.7, 2.3), ("Busan", "KR", 35.2, 129.1, 3.5), ("Mandalay", "MM", 22.0, 96.1, 1.4),
    ("Chiang Mai", "TH", 18.8, 99.0, 1.1), ("Mashhad", "IR", 36.3, 59.6, 3.1), ("Jeddah", "SA", 21.5, 39.2, 4.4),
    ("Aleppo", "SY", 36.2, 37.2, 1.8), ("Izmir", "TR", 38.4, 27.1, 2.9), ("Saint Petersburg", "RU", 59.9, 30.3, 5.4),
    ("Novosibirsk", "RU", 55.0, 82.9, 1.6), ("Yekaterinburg", "RU", 56.8, 60.6, 1.5),
    ("Krasnoyarsk", "RU", 56.0, 92.9, 1.1),
    ("Kano", "NG", 12.0, 8.5, 3.8), ("Ibadan", "NG", 7.4, 3.9, 3.4), ("Alexandria", "EG", 31.2, 29.9, 5.1),
    ("Durban", "ZA", -29.9, 31.0, 3.1), ("Pretoria", "ZA", -25.7, 28.2, 2.4), ("Kumasi", "GH", 6.7, -1.6, 3),
    ("Douala", "CM", 4.1, 9.7, 3.4), ("Philadelphia", "US", 40.0, -75.2, 5.7), ("Dallas", "US", 32.8, -96.8, 6.2),
    ("Boston", "US", 42.4, -71.1, 4.3), ("Phoenix", "US", 33.4, -112.1, 4.4), ("Detroit", "US", 42.3, -83.0, 3.6),
    ("Seattle", "US", 47.6, -122.3, 3.4), ("Pittsburgh", "US", 40.4, -80.0, 1.7), ("Fresno", "US", 36.7, -119.8, 0.9),
    ("Salt Lake City", "US", 40.8, -111.9, 1.1), ("Saint Louis", "US", 38.6, -90.2, 2.2),
    ("Minneapolis", "US", 45.0, -93.3, 2.9),
    ("Montreal", "CA", 45.5, -73.6, 4.2), ("Calgary", "CA", 51.0, -114.1, 1.4), ("Guadalajara", "MX", 20.7, -103.3, 5),
    ("Medellin", "CO", 6.2, -75.6, 3.9), ("Belo Horizonte", "BR", -19.9, -43.9, 6),
    ("Porto Alegre", "BR", -30.0, -51.2, 4.1),
    ("Recife", "BR", -8.1, -34.9, 4), ("Salvador", "BR", -12.9, -38.5, 3.8), ("Fortaleza", "BR", -3.7, -38.5, 4),
    ("Manaus", "BR", -3.1, -60.0, 2.1), ("Cordoba", "AR", -31.4, -64.2, 1.5), ("Guayaquil", "EC", -2.2, -79.9, 2.9),
    ("Milan", "IT", 45.5, 9.2, 3.1), ("Turin", "IT", 45.1, 7.7, 1.8), ("Naples", "IT", 40.8, 14.3, 2.2),
    ("Barcelona", "ES", 41.4, 2.2, 5.5), ("Valencia", "ES", 39.5, -0.4, 0.8), ("Lyon", "FR", 45.8, 4.8, 1.7),
    ("Marseille", "FR", 43.3, 5.4, 1.6), ("Munich", "DE", 48.1, 11.6, 1.5), ("Hamburg", "DE", 53.6, 10.0, 1.8),
    ("Frankfurt", "DE", 50.1, 8.7, 2.3), ("Essen", "DE", 51.5, 7.0, 5.1), ("Manchester", "GB", 53.5, -2.2, 2.7),
    ("Birmingham", "GB", 52.5, -1.9, 2.6), ("Rotterdam", "NL", 51.9, 4.5, 1.8), ("Antwerp", "BE", 51.2, 4.4, 1),
    ("Krakow", "PL", 50.1, 19.9, 0.8), ("Katowice", "PL", 50.3, 19.0, 2.7), ("Zurich", "CH", 47.4, 8.5, 1.4),
    ("Brno", "CZ", 49.2, 16.6, 0.4), ("Thessaloniki", "GR", 40.6, 22.9, 0.8), ("Porto", "PT", 41.2, -8.6, 1.3),
    ("Bordeaux", "FR", 44.8, -0.6, 0.9), ("Toulouse", "FR", 43.6, 1.4, 1), ("Lille", "FR", 50.6, 3.1, 1.1),
    ("Cologne", "DE", 50.9, 7.0, 1.1), ("Leipzig", "DE", 51.3, 12.4, 0.6), ("Bologna", "IT", 44.5, 11.3, 0.4),
    ("Kharkiv", "UA", 50.0, 36.2, 1.4), ("Donetsk", "UA", 48.0, 37.8, 0.9), ("Gothenburg", "SE", 57.7, 12.0, 0.6),
    ("Brisbane", "AU", -27.5, 153.0, 2.4), ("Perth", "AU", -31.9, 115.9, 2), ("Adelaide", "AU", -34.9, 138.6, 1.3),
    ("Christchurch", "NZ", -43.5, 172.6, 0.4), ("Almaty", "KZ", 43.2, 76.9, 1.8),
    ("Kuwait South", "KW", 29.1, 48.1, 0.3),
]  # fmt: skip
# Deserts: south, north, west, east.
DRY = [
    (17, 29, -14, 33), (17, 29, 38, 56), (37, 47, 76, 110), (28, 37, 78, 98), (-30, -20, 115, 142), (24, 37, 50, 62),
    (37, 44, 53, 66),
]  # fmt: skip
# Where large countries live: (code, latitude, longitude, radius in degrees, share of the country's rural population).
DENSE = [
    ("CN", 35.5, 116, 4.5, 4.0), ("CN", 31, 120, 3, 2.0), ("CN", 30, 105, 2.5, 1.6), ("CN", 24, 113, 4, 1.6),
    ("CN", 29, 114, 4, 2.0), ("CN", 43, 125, 4, 1.2), ("CN", 35, 108, 4, 1.0), ("IN", 26, 83, 4, 3.5),
    ("IN", 29.5, 77, 2.5, 2.0), ("IN", 12, 78, 4, 1.6), ("IN", 22, 74, 5, 1.6), ("IN", 23, 88, 2.5, 1.5),
    ("PK", 31, 73, 2.5, 3.0), ("PK", 26, 68, 2, 1.2), ("US", 40, -78, 6, 3.0), ("US", 41, -86, 5, 2.0),
    ("US", 33, -84, 5, 1.6), ("US", 31, -96, 4, 1.2), ("US", 36, -120, 3, 1.4), ("US", 47, -122, 1.5, 0.4),
    ("CA", 44.5, -78, 3, 4.0), ("CA", 51, -113, 3, 0.8), ("CA", 49.5, -122, 1.5, 0.8), ("BR", -22, -46, 4, 3.0),
    ("BR", -10, -38, 4, 1.6), ("BR", -28, -51, 3, 1.0), ("RU", 55, 40, 7, 4.0), ("RU", 48, 42, 4, 1.4),
    ("RU", 55, 62, 6, 1.2), ("RU", 54, 85, 4, 0.7), ("AU", -33.5, 150, 3, 1.5), ("AU", -37.7, 145, 2, 1.2),
    ("EG", 30.7, 31.0, 0.9, 6.0), ("EG", 26.5, 32, 0.8, 1.5), ("ID", -7.2, 110.5, 3.2, 8.0), ("MX", 19.5, -100, 3, 3.0),
    ("AR", -34, -60, 3, 3.0), ("CL", -34.5, -71, 2.5, 4.0), ("DZ", 36, 4, 3, 6.0), ("LY", 32.4, 14, 2, 5.0),
    ("SA", 24, 45, 3, 1.5), ("KZ", 43, 75, 4, 1.6), ("NG", 7, 5, 3, 2.0), ("CD", -4.5, 17, 3, 1.0),
    ("ZA", -26.3, 28.5, 2, 2.5),
    ("ET", 8.5, 38.5, 3, 3.0), ("SD", 14.3, 33.2, 2, 3.0), ("IR", 35.7, 51, 3, 2.0), ("FI", 61, 25, 2, 3.0),
    ("SE", 58.5, 15, 3, 3.0),
    ("NO", 60, 10, 1.8, 3.0), ("ML", 13, -6.5, 3, 3.0), ("NE", 13.3, 6, 3, 3.0), ("TD", 11, 16, 3, 3.0),
    ("PE", -10, -77, 4, 2.0),
]  # fmt: skip


def main(folder: Path) -> None:
    """Read the downloads in `folder`, write geography.npz, cities.csv and elevation.npz."""
    with tarfile.open(next(folder.glob("world-atlas-*.tgz"))) as atlas:
        land = json.load(atlas.extractfile("package/land-50m.json"))
        countries = json.load(atlas.extractfile("package/countries-50m.json"))
    wheel = zipfile.ZipFile(next(folder.glob("geopandas-0.14.4*.whl")))
    data = "geopandas/datasets/naturalearth_"
    population = read_dbf(wheel.read(f"{data}lowres/naturalearth_lowres.dbf"))
    places = read_dbf(wheel.read(f"{data}cities/naturalearth_cities.dbf"))
    points = read_points(wheel.read(f"{data}cities/naturalearth_cities.shp"))
    codes = iso_codes(folder)

    nodes_x, nodes_y = np.meshgrid(LONGITUDE, LATITUDE)
    country = np.zeros((721, 1440), np.uint8)
    names = [("", "")]
    for shape in countries["objects"]["countries"]["geometries"]:
        numeric = str(shape.get("id", "")).zfill(3)
        names.append((codes["numeric"].get(numeric, ""), shape["properties"]["name"]))
        country[rasterise(countries, shape, nodes_x, nodes_y)] = len(names) - 1
    mask = np.zeros((721, 1440), bool)
    for shape in land["objects"]["land"]["geometries"]:
        mask |= rasterise(land, shape, nodes_x, nodes_y)
    mask |= country > 0
    mask[-1], mask[0] = True, False  # the poles' rows are one value each: Antarctica, Arctic Ocean

    people = {codes["alpha3"].get(row["iso_a3"], ""): float(row["pop_est"]) / 1e6 for row in population}
    for row in population:  # Natural Earth gives -99 for three states
        extra = {"France": "FR", "Norway": "NO", "Kosovo": "XK"}.get(row["name"])
        if extra:
            people[extra] = float(row["pop_est"]) / 1e6
    cities = make_cities(places, points, country, names, people)
    density = make_density(cities, country, names, people)
    lines, offsets = coast_polylines(land)
    np.savez_compressed(
        OUT / "geography.npz",
        land=np.packbits(mask),
        country=country,
        country_codes=np.array([code for code, _ in names]),
        country_names=np.array([name for _, name in names]),
        population=density,
        coast_points=lines,
        coast_offsets=offsets,
    )
    with open(OUT / "cities.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["name", "country", "latitude", "longitude", "millions", "timezone", "utc_offset_minutes"])
        writer.writerows(cities)
    print(f"{len(cities)} cities, {len(offsets) - 1} coast lines of {len(lines)} points, land {mask.mean():.3f}")
    write_elevation(folder, mask)


def write_elevation(folder: Path, land: np.ndarray) -> None:
    """Write elevation.npz: mean height of the land around each node of `land`, (721, 1440) int16 in steps of 10 m.

    Heights at 5', in levels of 28 m from -450 m, 255 for water and, south of 85°S, for nothing: there the last row goes
    over into its mean at the pole. Land of which the tiles have no height (lakes) is as high as the nearest land.
    """
    wheel = zipfile.ZipFile(next(folder.glob("pvlib-0.16.1*.whl")))
    with h5py.File(io.BytesIO(wheel.read("pvlib/data/Altitude.h5"))) as file:
        levels = file["Altitude"][...]
    known = levels != 255
    share, total = around_nodes(known.astype(float)), around_nodes(np.where(known, levels * 28.0 - 450, 0))
    height = total / np.maximum(share, 1e-9)
    there = land & (share > 0)
    there[LATITUDE < -85] = False
    last = int(np.flatnonzero(LATITUDE >= -85)[-1])
    row = np.where(there[last], height[last], 0.0)
    for n in range(last + 1, 721):
        near = (720 - n) / (720 - last)
        height[n], there[n] = near * row + (1 - near) * row.mean(), True
    index = ndimage.distance_transform_edt(~there, return_distances=False, return_indices=True)
    height = np.where(land, height[tuple(index)], 0.0)
    icy = np.abs(LATITUDE) > 60  # there the tiles have the rock below the ice in places, and land below the sea nowhere
    height[icy] = np.maximum(height[icy], 0)
    np.savez_compressed(OUT / "elevation.npz", tens=np.rint(height / 10).astype(np.int16))
    print(f"heights of {there.mean():.3f} of the globe, {height.min():.0f} to {height.max():.0f} m")


def around_nodes(field: np.ndarray) -> np.ndarray:
    """Means over 0.25° around the fine nodes, of a field at 5' (2160, 4320) whose cells have the nodes at corners."""
    weights = np.array([0.5, 1, 1, 0.5]) / 3
    rows = np.pad(field, ((2, 2), (0, 0)), "edge")
    rows = sum(w * rows[k : k + 2161] for k, w in enumerate(weights))[::3]
    columns = np.pad(rows, ((0, 0), (2, 2)), "wrap")
    return sum(w * columns[:, k : k + 4320] for k, w in enumerate(weights))[:, ::3]


def rasterise(topology: dict, shape: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which nodes lie in a TopoJSON geometry: (721, 1440) bool."""
    import shapely

    inside = np.zeros(x.shape, bool)
    arcs = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
    for rings in arcs:
        outline = ring(topology, rings[0])
        holes = [ring(topology, r) for r in rings[1:]]
        for hole in holes:  # onto the same turn around the globe as the outline
            hole[:, 0] += 360 * np.round((outline[:, 0].min() + outline[:, 0].max() - 2 * hole[:, 0].mean()) / 720)
        polygon = shapely.make_valid(shapely.Polygon(outline, holes))
        shapely.prepare(polygon)
        west, south, east, north = polygon.bounds
        rows = slice(max(int((90 - north) * 4), 0), int((90 - south) * 4) + 2)
        for shift in (-360, 0, 360):  # parts beyond the date line
            columns = slice(max(int((west + 180 + shift) * 4), 0), max(int((east + 180 + shift) * 4) + 2, 0))
            box = (rows, columns)
            if inside[box].size:
                inside[box] |= shapely.contains_xy(polygon, x[box] - shift, y[box])
    return inside


def decode(topology: dict, index: int) -> np.ndarray:
    """Points of one arc, (n, 2) longitude and latitude; a negative index means reversed (TopoJSON)."""
    arc = np.cumsum(np.array(topology["arcs"][index if index >= 0 else ~index]), axis=0)
    arc = arc * topology["transform"]["scale"] + topology["transform"]["translate"]
    return arc if index >= 0 else arc[::-1]


def ring(topology: dict, indices: list[int]) -> np.ndarray:
    """A closed ring from its arcs, (n, 2), longitudes going on past 180°; around the pole closed along it."""
    points = np.concatenate([decode(topology, i)[(1 if n else 0) :] for n, i in enumerate(indices)])
    points[:, 0] = np.unwrap(points[:, 0], period=360)
    if abs(points[-1, 0] - points[0, 0]) > 180:
        points = np.vstack([points, [points[-1, 0], -90.0], [points[0, 0], -90.0], points[0]])
    return points


def coast_polylines(land: dict) -> tuple[np.ndarray, np.ndarray]:
    """Coastlines as one (N, 2) int16 array in hundredths of a degree, and where each line starts."""
    import shapely

    lines = []
    for index in range(len(land["arcs"])):
        points = decode(land, index)
        points = shapely.get_coordinates(shapely.LineString(points).simplify(0.01))
        seam = (np.abs(points[:, 0]) > 179.99) | (points[:, 1] < -89.9)  # edges of the map, no coast
        jump = np.abs(np.diff(points[:, 0])) > 180
        cut = np.flatnonzero((seam[1:] & seam[:-1]) | jump) + 1
        lines += [part for part in np.split(points, cut) if len(part) > 1]
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int32)
    return np.round(np.concatenate(lines) * 100).astype(np.int16), offsets


def make_cities(places: list, points: np.ndarray, country: np.ndarray, names: list, people: dict) -> list[tuple]:
    """Rows of cities.csv, the largest first."""
    zones = time_zones()
    nearest = ndimage.distance_transform_edt(country == 0, return_distances=False, return_indices=True)
    rows = {}
    for place, (lon, lat) in zip(places, points, strict=True):
        i, j = round((90 - lat) * 4), round((lon + 180) * 4) % 1440
        code = names[country[nearest[0][i, j], nearest[1][i, j]]][0]
        millions = MILLIONS.get(place["name"], min(0.08 * people.get(code, 0.3), 1.5))
        rows[place["name"]] = (code, lat, lon, max(millions, 0.02))
    rows.update({name: (code, lat, lon, millions) for name, code, lat, lon, millions in MORE})
    cities = []
    for name, (code, lat, lon, millions) in sorted(rows.items(), key=lambda item: (-item[1][3], item[0])):
        if not code:
            continue
        zone = min(
            zones.get(code) or list(chain(*zones.values())), key=lambda z: (z[0] - lat) ** 2 + (z[1] - lon) ** 2
        )[2]
        offset = min(ZoneInfo(zone).utcoffset(datetime(2018, month, 15)).total_seconds() for month in (1, 7))
        cities.append((name, code, round(lat, 3), round(lon, 3), round(millions, 2), zone, int(offset // 60)))
    return cities


def make_density(cities: list, country: np.ndarray, names: list, people: dict) -> np.ndarray:
    """Inhabitants per km² on the fine nodes, as 0 or 1 + log(density / 0.1) / log(1.3): (721, 1440) uint8.

    Country totals are Natural Earth's; how they spread is invented: large cities as blobs of their size, the rest by a
    log-normal field (fixed seed) around the places in DENSE, thin in cold and dry country.
    """
    rng = np.random.default_rng(19720601)
    lat, lon = LATITUDE[:, None], LONGITUDE[None]
    noise = np.zeros((721, 1440))
    for width, strength in ((1.2, 1.0), (4.0, 0.8), (12.0, 0.6)):
        field = ndimage.gaussian_filter(rng.standard_normal((721, 1440)), width, mode=("nearest", "wrap"))
        noise += strength * field / field.std()
    cold = 1 / (1 + np.exp((np.abs(lat) - 56) / 2.5))
    dry = np.ones((721, 1440))
    for south, north, west, east in DRY:
        inside = np.minimum(np.minimum(lat - south, north - lat), np.minimum(lon - west, east - lon))
        dry *= 1 - 0.93 / (1 + np.exp(-inside / 0.7))
    area = 27.8**2 * np.maximum(np.cos(np.radians(lat)), 1e-3) * np.ones((1, 1440))
    density = np.zeros((721, 1440))
    for index, (code, _) in enumerate(names):
        inside = country == index
        total = people.get(code, 0.0)
        if not index or not inside.any() or total <= 0:
            continue
        weight = np.exp(noise) * cold * dry
        bumps = [(a, b, r, s) for c, a, b, r, s in DENSE if c == code]
        if bumps:
            shape = 0.06 + sum(
                s * np.exp(-((lat - a) ** 2 + ((lon - b) * np.cos(np.radians(a))) ** 2) / r**2 / 2)
                for a, b, r, s in bumps
            )
            weight = weight * shape
        urban = [c for c in cities if c[1] == code]
        rural = max(total - sum(c[4] for c in urban), 0.35 * total)
        weight = weight[inside]
        density[inside] += rural * 1e6 * weight / (weight * area[inside]).sum()
    for _, _, a, b, millions, *_ in cities:
        radius = 0.13 * millions**0.3 + 0.07  # degrees
        spread = blob(lat, lon, a, b, radius) * (country > 0)
        density += spread * millions * 1e6 / max((spread * area).sum(), 1.0)
    levels = np.round(1 + np.log(np.maximum(density, 1e-9) / 0.1) / np.log(1.3))
    return np.clip(levels, 0, 255).astype(np.uint8)


def blob(lat: np.ndarray, lon: np.ndarray, north: float, east: float, radius: float) -> np.ndarray:
    """A Gaussian bump of `radius` degrees around a place."""
    across = ((lon - east + 180) % 360 - 180) * np.cos(np.radians(north))
    return np.exp(-((lat - north) ** 2 + across**2) / radius**2 / 2)


def iso_codes(folder: Path) -> dict:
    """ISO 3166: two-letter codes by number and by three letters."""
    wheel = zipfile.ZipFile(next(folder.glob("iso3166*.whl")))
    path = Path(wheel.extract("iso3166/__init__.py", folder / "iso"))
    spec = importlib.util.spec_from_file_location("iso3166", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["iso3166"] = module
    spec.loader.exec_module(module)
    return {
        "numeric": {c.numeric: c.alpha2 for c in module.countries},
        "alpha3": {c.alpha3: c.alpha2 for c in module.countries},
    }


def time_zones() -> dict:
    """Zones of the IANA data base by country: {code: [(latitude, longitude, name)]}."""
    import tzdata

    zones: dict = {}
    for line in (Path(tzdata.__file__).parent / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        code, place, name = line.split("\t")[:3]
        lat, lon = re.findall(r"[+-]\d+", place)
        zones.setdefault(code, []).append((degrees(lat, 2), degrees(lon, 3), name))
    return zones


def degrees(text: str, digits: int) -> float:
    """±DDMM[SS] or ±DDDMM[SS] as degrees."""
    value = int(text[1 : 1 + digits]) + int(text[1 + digits : 3 + digits]) / 60
    return -value if text[0] == "-" else value


def read_dbf(content: bytes) -> list[dict]:
    """Records of a dBase table."""
    count, header, length = struct.unpack("<IHH", content[4:12])
    fields = []
    position = 32
    while content[position] != 0x0D:
        fields.append((content[position : position + 11].split(b"\0")[0].decode(), content[position + 16]))
        position += 32
    records = []
    for n in range(count):
        start = header + n * length + 1
        record = {}
        for name, width in fields:
            record[name] = content[start : start + width].decode("latin-1").strip()
            start += width
        records.append(record)
    return records


def read_points(content: bytes) -> np.ndarray:
    """Points of an ESRI shapefile: (n, 2) longitude, latitude."""
    count = (len(content) - 100) // 28
    return np.array([struct.unpack("<2d", content[100 + 28 * n + 12 : 100 + 28 * n + 28]) for n in range(count)])


if __name__ == "__main__":
    if sys.argv[2:] == ["elevation"]:
        with np.load(OUT / "geography.npz") as archive:
            write_elevation(Path(sys.argv[1]), np.unpackbits(archive["land"])[: 721 * 1440].reshape(721, 1440) > 0)
    else:
        main(Path(sys.argv[1]))
